# Compiles the GNU C library in /in/source, out of tree, against the kernel
# headers in /in/headers, and leaves what it installs in root/. The number of jobs
# comes from the jobserver in MAKEFLAGS.
mkdir obj root
cd obj
# /usr/lib and not /usr/lib64 for what a linker needs: every gcc looks there.
/in/source/configure --build="$BUILD" --host="$HOST" \
	--prefix=/usr --libdir=/usr/lib --libexecdir=/usr/lib --sysconfdir=/etc --localstatedir=/var \
	libc_cv_slibdir="$LIBDIR" libc_cv_rtlddir="$LIBDIR" libc_cv_complocaledir=/usr/lib/locale \
	--with-headers=/in/headers/usr/include --enable-kernel="$OLDEST_KERNEL" \
	--enable-stack-protector=strong --disable-werror --disable-profile --disable-nscd --without-selinux \
	CC="${CROSS}gcc" CXX= CFLAGS="$CFLAGS" "$@" </dev/null
make </dev/null
make install install_root=/build/root </dev/null
