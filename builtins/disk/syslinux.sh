# Installs syslinux into a FAT image: no root, no mount. The clock of the sandbox
# is the machine's; the time that mtools writes is SOURCE_DATE_EPOCH.
cp --sparse=always /in/esp esp.img
chmod u+w esp.img
syslinux --install --directory /syslinux esp.img
