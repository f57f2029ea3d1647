mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
if [ -s /etc/modules ]; then
	while read -r module; do
		modprobe "$module" || echo "init: no module $module"
	done </etc/modules
fi
# A disk takes a moment until it is there.
tries=0
until device=$(find_root) && [ -b "$device" ]; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ]; then
		echo "init: there is no $root; these are the disks:"
		cat /proc/partitions
		exec /bin/sh
	fi
	sleep 0.1
done
mkdir -p /root.new
if ! mount -t "$fs" -o "$options" "$device" /root.new; then
	echo "init: $device can't be mounted as $fs"
	exec /bin/sh
fi
umount /proc /sys
mount --move /dev /root.new/dev 2>/dev/null || mount -o move /dev /root.new/dev
exec switch_root /root.new "$init"
echo "init: the root file system has no $init"
exec /bin/sh
