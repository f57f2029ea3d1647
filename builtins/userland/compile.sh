# Compiles /in/source, which stays untouched, with the configuration /in/config.
# The number of jobs comes from the jobserver in MAKEFLAGS. Two goals would be
# two recursive makes in the same folder at once, so one after the other.
cat /in/config > .config
make -C /in/source O="$PWD" busybox </dev/null
make -C /in/source O="$PWD" busybox.links </dev/null
