#!/bin/sh
# Runs /run/hanok/command with its standard streams on the ports of the virtio console, gives its exit status to the
# port hanok.status, and powers the machine off. The image "tiny" does the same and says why streams are pipes.

ports=/dev/virtio-ports
for name in stdin stdout stderr status; do
  tries=0
  until [ -e $ports/hanok.$name ] || [ $tries -ge 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
done

# The service's own control group is ours (Delegate=yes): what the command leaves behind ends with it.
read -r group </proc/self/cgroup
group=/sys/fs/cgroup${group#0::}
mkdir -p $group/command

cat <$ports/hanok.stdin | {
  {
    {
      (
        echo 0 >$group/command/cgroup.procs
        cd /root
        exec setsid sh /run/hanok/command 3>&-
      )
      echo $? >/run/hanok/status
      echo 1 >$group/command/cgroup.kill
    } 2>&3 | cat >$ports/hanok.stdout
  } 3>&1 | cat >$ports/hanok.stderr
  cat /run/hanok/status >$ports/hanok.status
  systemctl poweroff --force
}
