# Installs syslinux into a FAT image: no root, no mount. The files' times come from
# SOURCE_DATE_EPOCH. The installer does not say when the image has no room for what
# it writes, so that is looked at afterwards.
cp --sparse=always /in/esp esp.img
chmod u+w esp.img
syslinux --install --directory /syslinux esp.img
mcopy -i esp.img ::/syslinux/ldlinux.c32 written
cmp written /usr/lib/syslinux/modules/bios/ldlinux.c32 || {
	echo "the EFI system partition has no room for syslinux: give it 512 KiB more (size or free)"
	exit 1
}
