# A place that has something mounted already is left alone.
pseudo() {
	grep -q "^[^ ]* $3 " /proc/mounts 2>/dev/null && return
	mkdir -p "$3" 2>/dev/null
	mount -t "$1" -o "$2" "$1" "$3"
}
pseudo proc nosuid,nodev,noexec /proc
pseudo sysfs nosuid,nodev,noexec /sys
pseudo devtmpfs mode=755 /dev
pseudo devpts mode=620,gid=5 /dev/pts
pseudo tmpfs mode=1777 /dev/shm
pseudo tmpfs mode=755 /run
mkdir -p /run/lock /run/service
if [ -s /etc/modules ]; then
	while read -r module; do
		modprobe "$module" || echo "mounts: no module $module"
	done </etc/modules
fi
if [ -s /etc/fstab ]; then
	swap=
	while read -r device dir type options rest; do
		[ "$type" != swap ] || swap=yes
		case $device:$dir:,$options, in
		'#'* | *:/:*,ro,*) ;;
		*:/:*) mount -o "remount,rw,$options" / ;;
		esac
	done </etc/fstab
	mount -a
	[ -z "$swap" ] || swapon -a
fi
# A root that can't be written (squashfs) gets a /tmp in memory.
if grep -q '^[^ ]* / [^ ]* ro[, ]' /proc/mounts; then
	pseudo tmpfs mode=1777 /tmp
fi
