# Makes .config of /in/seed, by the conf of /in/kconfig. The first line of /in/seed
# names the way: allnoconfig, defconfig …. An empty seed is nothing to do.
if [ ! -s /in/seed ]; then
	: > .config
	exit 0
fi
read -r _ mode < /in/seed
. /in/kconfig/env
export LD_PRELOAD=/in/kconfig/replay.so PROBES=/in/kconfig/probes
case $mode in
all*config) KCONFIG_ALLCONFIG=/in/seed /in/kconfig/conf --"$mode" Kconfig </dev/null ;;
*) /in/kconfig/conf --"$mode"=/in/seed Kconfig </dev/null ;;
esac
