# Takes out of /in/built, a C library as it was installed, what is for debuggers and
# readers, and leaves the rest in root/. It is an action of its own so that the
# compilation, which takes long, has not to be done again when this changes.
cp -a /in/built root
chmod -R u+w root
cd root
rm -rf usr/share/info usr/share/locale var etc/ld.so.cache
# Threads that end or are cancelled load gcc's unwinder.
cp "$("${CROSS}gcc" -print-file-name=libgcc_s.so.1)" ".$LIBDIR/"
# Some files that are called .so or .a are scripts of the linker.
find . -type f ! -name '*.h' | while read -r f; do
	case $(head -c 8 "$f" | tr -d '\000\n') in
	'!<arch>') "${CROSS}strip" --strip-debug "$f" ;;
	?ELF*) case $f in
		*.o | */ld-linux*) "${CROSS}strip" --strip-debug "$f" ;;
		*) "${CROSS}strip" --strip-unneeded "$f" ;;
		esac ;;
	esac
done
