#!/bin/sh
# What udhcpc runs when a lease comes or goes. It is this script that puts the
# address on the interface: udhcpc itself does not.
case $1 in
deconfig)
	ip -4 addr flush dev "$interface"
	ip link set "$interface" up
	;;
bound | renew)
	ip -4 addr flush dev "$interface"
	ip addr add "$ip/${mask:-24}" ${broadcast:+broadcast "$broadcast"} dev "$interface"
	metric=0
	for gateway in $router; do
		ip route add default via "$gateway" dev "$interface" metric $metric
		metric=$((metric + 1))
	done
	# A file that the script of the lab wrote stays; the link leads to /run.
	if [ -L /etc/resolv.conf ]; then
		{
			[ -z "$domain" ] || echo "search $domain"
			for server in $dns; do
				echo "nameserver $server"
			done
		} >/run/resolv.conf.new
		mv /run/resolv.conf.new /run/resolv.conf
	fi
	echo "network: $interface has $ip"
	;;
leasefail | nak)
	echo "network: $interface has no address yet: $1 $message"
	;;
esac
