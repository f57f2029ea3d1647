# The times of the files are those of the tree, and that of the image is
# SOURCE_DATE_EPOCH. Attributes of the machine's own (SELinux) stay out.
if grep -q '" x ' /in/pseudo; then xattrs="-xattrs-exclude ^security.selinux$"; else xattrs=-no-xattrs; fi
mksquashfs /in/tree squashfs.img -noappend -all-root -pseudo-override -pf /in/pseudo $COMPRESSION -b "$BLOCK" $xattrs -no-progress -quiet
