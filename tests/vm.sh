#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vm.sh [--cached] PROGRAM [ARG ...] - run a program on this machine's libraries in a small virtual machine that has
# an RDMA device, rxe0 (soft-RoCE), two packages, each a NUMA node with one core, and Debian's kernel, which is fetched
# once into build/rdma-vm and not installed
# --cached fetches nothing. Where it can't be done that is said, and skipped. The status is the program's.
set -eu

fetch=1
[ "$1" != --cached ] || { fetch=; shift; }
program=$1
shift
vm=$PWD/build/rdma-vm
arch=$(uname -m)-linux-gnu
provider=$(echo /usr/lib/"$arch"/libibverbs/librxe-rdmav*.so)

skip()
{
	echo "skipped: vm: $*"
	exit 0
}

[ -z "${SAN:-}" ] || skip "a sanitizer wants more memory and time than the virtual machine has"
[ "$arch" = x86_64-linux-gnu ] || skip "the virtual machine is for x86-64 only"
for needed in qemu-system-x86_64 rdma xz "$provider"; do
	[ -f "$needed" ] || command -v "$needed" >/dev/null || skip "there is no $needed here; make test-rdma gets it"
done

# ---- Kernel, modules and busybox: fetched once ------------------------------------------------

modules_of() ( # NAME ...: their files, each after those it depends on
	for name; do
		ko=$(find root -name "$(echo "$name" | sed 's/[-_]/[-_]/g').ko*" | head -n 1)
		[ -n "$ko" ] || continue # built in
		modules_of $(plain "$ko" | tr '\0' '\n' | sed -n 's/^depends=//p' | tr , ' ')
		echo "$ko"
	done
)

plain()
{
	case $1 in *.xz) xz -dc "$1" ;; *) cat "$1" ;; esac
}

pack() # FOLDER FILE
{
	(cd "$1" && find . | "$vm/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$2"
}

# QEMU starts the ELF inside vmlinuz at once; to unpack itself in the emulator would take as long as all else.
unpack_kernel()
{
	at=$(LC_ALL=C grep -abo "$(printf '\3757zXZ')" root/boot/vmlinuz-* | head -n 1 | cut -d : -f 1)
	cp root/boot/vmlinuz-* linux
	[ -z "$at" ] || tail -c "+$((at + 1))" root/boot/vmlinuz-* | xz -dc --single-stream >linux 2>/dev/null || :
}

make_image() (
	kernel=$(apt-cache show --no-all-versions linux-image-amd64 2>/dev/null |
		sed -n 's/^Depends:.*\(linux-image-[^ ,]*-amd64\).*/\1/p')
	[ -n "$kernel" ] || skip "no package linux-image-amd64 (only Debian's kernel is known to do)"
	rm -rf "$vm"
	mkdir -p "$vm/base/modules"
	cd "$vm"
	apt-get -q download "$kernel" busybox-static >log 2>&1 || { cat log; skip "the kernel can't be fetched"; }
	for deb in *.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --one-top-level=root --exclude='*/drivers/gpu' \
			--exclude='*/drivers/media' --exclude='*/kernel/sound' --exclude='./usr/share'
	done
	find root -path "*/bin/busybox" -exec mv {} busybox \;
	unpack_kernel
	# rdma_rxe asks the crypto layer for a crc32 when a device is added; nobody could load it then.
	for ko in $(modules_of crc32_generic rdma_rxe ib_uverbs dummy | awk '!seen[$0]++'); do
		name=$(basename "${ko%.xz}")
		plain "$ko" >"base/modules/$name"
		echo "$name" >>base/modules/order
	done
	pack base base.cpio
	rm -rf root base ./*.deb
)

if [ ! -f "$vm/base.cpio" ]; then
	[ -n "$fetch" ] || skip "the kernel was not fetched yet; make test-rdma does"
	make_image
	[ -f "$vm/base.cpio" ] || exit 0
fi

# ---- The program, with its libraries ----------------------------------------------------------

run=$(mktemp -d "$vm/run.XXXXXX")
trap 'rm -rf "$run"' EXIT
trap 'exit 130' INT TERM
tree=$run/tree
mkdir -p "$tree/usr/bin" "$tree/usr/lib" "$tree/usr/lib64" "$tree/etc/libibverbs.d" "$tree/here" "$tree/dev" "$tree/proc" "$tree/sys"
ln -s usr/bin "$tree/bin"
ln -s usr/bin "$tree/sbin"
ln -s usr/lib "$tree/lib"
ln -s usr/lib64 "$tree/lib64"
cp "$vm/busybox" "$tree/bin/"
cp "$program" "$tree/here/program"
echo 'driver rxe' >"$tree/etc/libibverbs.d/rxe.driver"
for file in "$program" "$provider" "$(command -v rdma)"; do
	{ echo "$file"; ldd "$file" | sed -n 's/^[^/]*\(\/.*\) (0x.*/\1/p'; } | while read -r lib; do
		[ "$lib" != "$program" ] || continue
		mkdir -p "$tree$(dirname "$lib")"
		cp -L "$lib" "$tree$lib"
	done
done
quoted=$(for arg; do printf " '%s'" "$arg"; done)
# ttyS0 is the console, ttyS1 what the program prints, ttyS2 its status.
cat >"$tree/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/bin HOME=/ TEST_VM=1 TEST_PATIENCE=${TEST_PATIENCE:-4}
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /tmp /dev/shm; mount -t tmpfs shm /dev/shm; ln -s /proc/self/fd /dev/fd
for tty in 1 2; do stty -F /dev/ttyS\$tty raw -echo; done
finish() { stty -F /dev/ttyS1 raw; echo "\$1" >/dev/ttyS2; poweroff -f; }
while read -r ko; do insmod /modules/\$ko || finish "no module \$ko"; done </modules/order
ip link set lo up
ip link show dummy0 >/dev/null 2>&1 || ip link add dummy0 type dummy
ip address add 10.77.0.1/24 dev dummy0; ip link set dummy0 up
$(command -v rdma) link add rxe0 type rxe netdev dummy0 || finish "no rxe0"
# The GID of the address comes a moment after the device.
tries=0
until grep -q 'ffff:0a4d:0001' /sys/class/infiniband/rxe0/ports/1/gids/*; do
	tries=\$((tries + 1)); [ \$tries -lt 200 ] || finish "rxe0 has no address"; usleep 50000
done
ulimit -l unlimited
cd /here
setsid ./program$quoted </dev/null >/dev/ttyS1 2>&1
finish "exit \$?"
INIT
chmod +x "$tree/init"
pack "$tree" "$run/own.cpio"
cat "$vm/base.cpio" "$run/own.cpio" >"$run/initrd"

# ---- Run ----------------------------------------------------------------------------------------

accel=tcg,thread=multi cpu=max
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then accel=kvm cpu=host; fi
# It makes its standard output non-blocking, so that is a pipe of its own. A panic ends it.
timeout --kill-after=10 "${TIME_LIMIT:-300}" qemu-system-x86_64 -accel $accel -cpu $cpu -smp 2,sockets=2 -m 1024 \
	-object memory-backend-ram,size=512M,id=node0 -numa node,memdev=node0,cpus=0 \
	-object memory-backend-ram,size=512M,id=node1 -numa node,memdev=node1,cpus=1 \
	-nodefaults -no-user-config -no-reboot -display none -monitor none \
	-serial "file:$run/console" -chardev stdio,id=out,signal=off -serial chardev:out \
	-serial "file:$run/status" -kernel "$vm/linux" -initrd "$run/initrd" \
	-append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off" </dev/null 2>"$run/error" | cat
tr -d '\r' <"$run/console" >"$vm/console.log"
case $(cat "$run/status") in
exit\ *) exit "$(sed 's/exit //' "$run/status")" ;;
esac
echo "the virtual machine ended without the program's status: $(cat "$run/status" "$run/error")"
tail -n 30 "$vm/console.log"
exit 1
