# Makes headers/usr/include of /in/source. `make headers_install` would copy them
# with rsync; all it leaves out is what is no header.
make -C /in/source O="$PWD" headers </dev/null
mkdir -p headers/usr
mv usr/include headers/usr/include
find headers -type f ! -name '*.h' -delete
find headers -type d -empty -delete
