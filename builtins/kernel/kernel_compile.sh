# Compiles /in/source, which stays untouched, with the configuration /in/config:
# the goal $IMAGE, and the modules if there are any. The number of jobs comes from
# the jobserver in MAKEFLAGS.
cat /in/config > .config
cp -R /in/synced include # after .config: make compares their times
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
