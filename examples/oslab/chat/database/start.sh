#!/usr/bin/busybox sh
# Starts PostgreSQL, at the first time with a new database. That is made beside its
# place and moved there when it is whole, so a start that was cut off is begun anew.
set -eu
bin=/usr/lib/postgresql/17/bin
data=/var/lib/postgresql/data/pgdata
if [ ! -e "$data" ]; then
	busybox rm -rf "$data.new"
	"$bin/initdb" -D "$data.new" --username=chat --pwfile=/run/secrets/database \
		--auth-local=reject --auth-host=scram-sha-256 \
		--encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
	echo "host all all all scram-sha-256" >>"$data.new/pg_hba.conf"
	echo "CREATE DATABASE chat" | "$bin/postgres" --single -D "$data.new" postgres
	busybox mv "$data.new" "$data"
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
