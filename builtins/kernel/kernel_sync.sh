# Makes include, what Kbuild's files see of the configuration /in/config, as the first
# thing that make would do. It fails on options that are new, and on a configuration
# that does not hold in this tree. The conf that made the configuration is there, and the
# compiler's answers, so make has neither to build one nor to ask.
cat /in/config > .config
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
