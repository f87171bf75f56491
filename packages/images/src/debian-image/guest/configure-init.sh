#!/bin/sh
# PID 1 of the machine that configures a Debian system: mounts it, runs /configure.sh in it and powers off. What it has to
# say goes to the port hanok.events, line by line; its console is for errors. The kernel's initramfs is busybox's.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin

mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -f /etc/install-applets ] && /bin/busybox --install -s

while read -r when file; do insmod "$file"; done </etc/modules

port() {
  tries=0
  while :; do
    for path in /sys/class/virtio-ports/*/name; do
      name=
      read -r name 2>/dev/null <"$path"
      [ "$name" = "$1" ] && path=${path%/name} && echo "/dev/${path##*/}" && return
    done
    tries=$((tries + 1))
    [ $tries -gt 500 ] && echo /dev/console && return
    usleep 20000
  done
}

exec 3>"$(port hanok.events)"
initrd=$(port hanok.initrd)

tries=0
until [ -b /dev/vda ] || [ $tries -gt 500 ]; do
  usleep 20000
  tries=$((tries + 1))
done
mount -t ext4 -o noatime,barrier=0 /dev/vda /mnt || echo 'failed the disk cannot be mounted' >&3
mount --bind /dev /mnt/dev
mkdir -p /mnt/dev/pts /mnt/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /mnt/dev/pts
mount -t tmpfs tmpfs /mnt/dev/shm
mount -t proc proc /mnt/proc
mount -t sysfs sysfs /mnt/sys
mount -t tmpfs -o mode=755 tmpfs /mnt/run
mkdir /mnt/run/hanok
cp /configure.sh /preinst.list /mnt/run/hanok

env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true DEBCONF_NOWARNINGS=yes \
  chroot /mnt /bin/sh /run/hanok/configure.sh "$initrd" 2>&1
status=$?

# What it started by itself would keep the disk busy.
for process in /proc/[0-9]*; do
  [ "$(readlink "$process/root")" = /mnt ] && kill -9 "${process##*/}"
done
umount /mnt/run /mnt/sys /mnt/proc /mnt/dev/shm /mnt/dev/pts /mnt/dev
if umount /mnt; then
  [ $status = 0 ] && echo 'finished' >&3
else
  echo 'failed the disk is still in use' >&3
fi
exec 3>&-
poweroff -f
