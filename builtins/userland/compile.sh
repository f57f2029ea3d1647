# Compiles /in/source, which stays untouched, with the configuration /in/config,
# for the architecture of the compiler ${CROSS}gcc, with the C library of $LIBC_CC.
# The number of jobs comes from the jobserver in MAKEFLAGS. Two goals would be
# two recursive makes in the same folder at once, so one after the other.
cat /in/config > .config
cc=${LIBC_CC:-${CROSS-}gcc}
for goal in busybox busybox.links; do
	make -C /in/source O="$PWD" CROSS_COMPILE="${CROSS-}" CC="$cc" "$goal" </dev/null
done
if [ "${LOADER-}" ] && ! "${CROSS-}readelf" -l busybox | grep -F "interpreter: $LOADER]"; then
	echo "busybox does not ask for the dynamic linker $LOADER of its C library"
	exit 1
fi
