# Makes .config from $BASE (defconfig or allnoconfig) with $FRAGMENT over it, by
# the source tree's own conf; and options.in, the text of all its Config.in,
# which explains what did not take effect.
printf '%s' "$FRAGMENT" > fragment
if [ "$BASE" = allnoconfig ]; then
	make -C /in/source O="$PWD" allnoconfig </dev/null
	# Of two values of an option conf takes the first. Numbers and strings are
	# left out: allnoconfig sets them to 0 and "", not to their defaults.
	{ cat fragment; grep -E '=y$|is not set$' .config; } > merged
	mv merged .config
	# An empty line answers with the default.
	yes '' | make -C /in/source O="$PWD" oldconfig
else
	make -C /in/source O="$PWD" KBUILD_DEFCONFIG="$PWD/fragment" defconfig </dev/null
fi
{
	cat /in/source/Config.in
	for f in */Config.in */*/Config.in; do
		if [ -f "$f" ]; then cat "$f"; fi
	done
} > options.in
