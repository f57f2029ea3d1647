# Compiles musl in /in/source, out of tree, and leaves what it installs in root/.
mkdir obj root
cd obj
/in/source/configure --build="$BUILD" --host="$HOST" --prefix=/usr --syslibdir=/lib --disable-wrapper \
	CROSS_COMPILE="$CROSS" CC="${CROSS}gcc" CFLAGS="$CFLAGS" "$@" </dev/null
make </dev/null
make install DESTDIR=/build/root </dev/null
cd ../root
# The library is the dynamic linker too. A rescue system has /lib alone, so that
# is where the file is, and the name for the linker leads there.
loader=lib/$(ls lib)
rm "$loader"
mv usr/lib/libc.so "$loader"
ln -s "../../$loader" usr/lib/libc.so
"${CROSS}strip" --strip-unneeded "$loader"
"${CROSS}strip" --strip-debug usr/lib/libc.a
