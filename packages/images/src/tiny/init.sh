#!/bin/sh
# PID 1 of the image "tiny".
#
# The guest may run on an interpreter, where a fork costs milliseconds: what the shell can do itself it does, and one
# program serves many files. busybox's shell finds its applets without PATH.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

mount -t devtmpfs devtmpfs /dev
# Links to the standard streams, and the directories that /etc/fstab mounts on.
cp -a /etc/dev/. /dev
mount -t proc proc /proc
mount -a
echo hanok >/proc/sys/kernel/hostname
ip link set lo up
# Made where the image could not be given the links to busybox.
[ -f /etc/install-applets ] && /bin/busybox --install -s

# /etc/modules holds lines "when file", in load order. "when" is "-" or the virtio device ID that needs the module
# (virtio 1.2 §5); the lines with "-" come first and make the devices appear.
load_modules() {
  devices=' -'
  while read -r when file; do
    if [ "$when" != - ] && [ "$devices" = ' -' ]; then
      for path in /sys/bus/virtio/devices/*/device; do
        read -r id 2>/dev/null <"$path" && devices="$devices $id"
      done
    fi
    case "$devices " in
      *" $when "*) insmod "$file" ;;
    esac
  done </etc/modules
}

# Port names come from the host a little after the driver is loaded.
find_ports() {
  stdin= stdout= stderr= status= tries=0
  while :; do
    for path in /sys/class/virtio-ports/*/name; do
      name=
      read -r name 2>/dev/null <"$path"
      port=${path%/name}
      port=/dev/${port##*/}
      case $name in
        hanok.stdin) stdin=$port ;;
        hanok.stdout) stdout=$port ;;
        hanok.stderr) stderr=$port ;;
        hanok.status) status=$port ;;
      esac
    done
    [ "$stdin" ] && [ "$stdout" ] && [ "$stderr" ] && [ "$status" ] && return
    tries=$((tries + 1))
    [ $tries -gt "$1" ] && return
    usleep 20000
  done
}

# Runs /run-command with its standard streams on the ports; a port that is missing is replaced by the console.
# A port cannot be opened twice, so a command that opens /dev/stdin or /dev/stderr needs a pipe there: cat stands
# between. Before the command it is dd, because cat would send the console's input with sendfile, which locks the pipe
# for its reader while it waits for more. It may wait for input for ever, so nothing waits for it.
run_command() {
  find_ports "$1"
  mkdir /sys/fs/cgroup/command
  dd bs=65536 status=none <"${stdin:-/dev/console}" | {
    {
      {
        (
          echo 0 2>/dev/null >/sys/fs/cgroup/command/cgroup.procs
          cd /root
          exec setsid sh /run-command 3>&-
        )
        echo $? >/run/status
        # Processes that the command left behind would hold the pipes open.
        echo 1 2>/dev/null >/sys/fs/cgroup/command/cgroup.kill
      } 2>&3 | cat >"${stdout:-/dev/console}"
    } 3>&1 | cat >"${stderr:-/dev/console}"
    read -r code </run/status
    echo "$code" >"${status:-/dev/console}"
    poweroff -f
  }
}

# The console of a virtio device appears like the port names, a little later. Its file always exists; it can be opened
# when the device has a console.
find_console() {
  tries=0
  console=/dev/hvc0
  until true 2>/dev/null <$console; do
    tries=$((tries + 1))
    [ $tries -gt "$1" ] && console=/dev/ttyS0 && return
    usleep 20000
  done
}

interactive_shell() {
  find_console "$1"
  cd /root
  setsid -c sh -l <$console >$console 2>&1
}

load_modules
# Nothing to wait for without a virtio console device (ID 3).
case "$devices " in
  *" 0x0003 "*) patience=100 ;;
  *) patience=0 ;;
esac
if [ -f /run-command ]; then
  run_command $patience
else
  interactive_shell $patience
fi
poweroff -f
