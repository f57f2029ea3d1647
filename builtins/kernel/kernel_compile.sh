# Compiles /in/source, which stays untouched, with the configuration /in/config:
# the goal $IMAGE, and the modules if there are any. The number of jobs comes from
# the jobserver in MAKEFLAGS.
cat /in/config > .config
# The first thing that make would do: it fails on options that are new, and rewrites a
# configuration that does not hold in this tree. The conf that made the configuration
# is there, and the compiler's answers, so make has neither to build one nor to ask.
(
	. /in/kconfig/env
	export LD_PRELOAD=/in/kconfig/replay.so PROBES=/in/kconfig/probes
	/in/kconfig/conf --syncconfig Kconfig </dev/null
) || changed=failed
if [ "${changed-}" ] || ! cmp -s /in/config .config; then
	diff /in/config .config || true
	echo 'The configuration does not fit this source tree: see the lines above.'
	echo 'Patches that change Kconfig files, or conf, go to the source of kernel_config, with patch().'
	exit 1
fi
mkdir modules
if grep -q '^CONFIG_MODULES=y' .config; then
	make -C /in/source O="$PWD" "$IMAGE" modules </dev/null
	make -C /in/source O="$PWD" INSTALL_MOD_PATH="$PWD/modules" INSTALL_MOD_STRIP=1 modules_install </dev/null
	# Links to the sources, which are elsewhere.
	rm -f modules/lib/modules/*/build modules/lib/modules/*/source
else
	make -C /in/source O="$PWD" "$IMAGE" </dev/null
fi
cmp /in/config .config
cp include/config/kernel.release release
