# Configures the packages of an unpacked Debian system, in its root: what dpkg does after unpacking, then what makes the
# system one to clone. File descriptor 3 takes one line an event; $1 is where the finished initramfs goes.

fail() {
  echo "failed $*" >&3
  exit 1
}

# No service runs here, the initramfs is made once at the end, and no host key is made at all: clones make their own.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
echo update_initramfs=no >/run/hanok/update-initramfs.conf
mount --bind /run/hanok/update-initramfs.conf /etc/initramfs-tools/update-initramfs.conf
mount --bind /usr/bin/true /etc/kernel/postinst.d/initramfs-tools
for kind in rsa ecdsa ed25519; do
  : >/etc/ssh/ssh_host_${kind}_key
  : >/etc/ssh/ssh_host_${kind}_key.pub
done

# The scripts that dpkg runs before it unpacks; the packages are unpacked, so they see a system that is whole.
ldconfig
while read -r package; do
  DPKG_MAINTSCRIPT_PACKAGE=${package%:*} DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_ARCH=amd64 DPKG_MAINTSCRIPT_NAME=preinst DPKG_ROOT= DPKG_ADMINDIR=/var/lib/dpkg \
    "/var/lib/dpkg/info/$package.preinst" install </dev/null || fail "the preinst script of $package"
done </run/hanok/preinst.list

configure() {
  dpkg --status-fd 3 --force-unsafe-io --force-confold "$@" </dev/null
}
# Users, groups and the directories of the base system come before everything that names them.
configure --force-depends --configure base-passwd base-files || fail "configuring base-passwd and base-files"
configure --force-depends --force-configure-any --configure --pending || fail "configuring the packages"

umount /etc/initramfs-tools/update-initramfs.conf /etc/kernel/postinst.d/initramfs-tools
rm -f /usr/sbin/policy-rc.d /etc/ssh/ssh_host_*
version=$(ls /lib/modules | tail -n 1)
echo "step making the initramfs" >&3
update-initramfs -c -k "$version" || fail "making the initramfs of $version"

# A clone is a machine of its own.
: >/etc/machine-id
[ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
rm -rf /var/lib/systemd/random-seed /var/cache/debconf/*-old /var/lib/dpkg/*-old /tmp/* /var/tmp/*
find /var/log -type f -exec truncate -s 0 {} +

dpkg --audit >/run/hanok/audit
[ -s /run/hanok/audit ] && cat /run/hanok/audit && fail "dpkg --audit"

set -- "/boot/initrd.img-$version" "$1"
echo "initrd $(stat -c %s "$1") $(sha256sum <"$1" | cut -d ' ' -f 1)" >&3
cat "$1" >"$2"
