set -euo pipefail
mkdir databases none
{
	cat <<'EOF'
Name: lab-tools
Epoch: 2
Version: 1.4~rc1
Release: 3.fc41
Summary: A package with an epoch, a licence of SPDX's and a header of several pages
License: GPL-2.0-or-later AND MIT
Vendor: Lab
BuildArch: noarch
%description
%{summary}
%install
for i in $(seq 300); do install -D /dev/null %{buildroot}/usr/share/lab-tools/a-file-with-a-long-name-$i; done
%files
/usr/share/lab-tools
EOF
	for i in $(seq -w 30); do
		printf '%%package -n lab-part%s\nSummary: Part\nVersion: %s.0\nEpoch: 0\nLicense: GPLv2+ and ASL 2.0\n%%description -n lab-part%s\nPart\n%%files -n lab-part%s\n' "$i" "$i" "$i" "$i"
	done
} >lab.spec
rpmbuild --define "_topdir $PWD/top" --define "_buildhost lab" --define "_tmppath $PWD" --define "_dbpath $PWD/none" -bb lab.spec >log 2>&1 || { cat log; exit 1; }
format='%{NAME} %{EPOCHNUM} %{VERSION} %{RELEASE} %{ARCH} %{SOURCERPM} %{LICENSE}\n'
database() { rpm --dbpath "$PWD/$1" --define "_db_backend $1" "${@:2}"; }
for kind in sqlite ndb; do
	database $kind --initdb
	database $kind --nodeps --justdb --noscripts --nosignature --ignoresize -i top/RPMS/noarch/*.rpm
	database $kind --nodeps --justdb -e lab-part07 # what is removed is gone
	database $kind --define "_tmppath $PWD" -qa --qf "$format" | sort >databases/labels-$kind
done
cmp databases/labels-*
mv databases/labels-sqlite databases/labels
rm databases/labels-ndb

# A journal that was not written back, with a transaction that did not end: rpm writes it
# back when the last process closes the database, which one that is killed does not.
mkdir journal
cp sqlite/rpmdb.sqlite journal
sqlite3 journal/rpmdb.sqlite <<'EOF'
pragma wal_autocheckpoint = 0;
pragma cache_size = 2;
delete from Packages where hnum = (select max(hnum) from Packages);
begin;
delete from Packages;
.shell cmp journal/rpmdb.sqlite sqlite/rpmdb.sqlite && cp journal/rpmdb.sqlite-wal databases
rollback;
EOF
mkdir sqlite-journal
cp sqlite/rpmdb.sqlite databases/rpmdb.sqlite-wal sqlite-journal
rpm --dbpath "$PWD/sqlite-journal" --define "_db_backend sqlite" --define "_tmppath $PWD" -qa --qf "$format" | sort >databases/labels.journal

# Berkeley DB's hash is what rpm wrote before 4.16: numbers and headers.
{
	printf 'VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n 00000000\n 40000000\n'
	sqlite3 sqlite/rpmdb.sqlite "select printf(' %02x%02x0000', hnum % 256, hnum / 256) || char(10) || ' ' || lower(hex(blob)) from Packages"
	echo DATA=END
} >dump
db5.3_load -f dump databases/Packages
cp sqlite/rpmdb.sqlite ndb/Packages.db databases
ls -l databases
