package rootfs

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/starlark/schema"
)

// Network is how one interface gets its address, as a value of the language.
type Network struct {
	iface   string
	dhcp    bool
	address string // with the length of its prefix
	gateway string
}

// The methods of starlark.Value.
func (n *Network) String() string        { return fmt.Sprintf("%s(%q)", n.Type(), n.iface) }
func (n *Network) Type() string          { return "network" }
func (n *Network) Freeze()               {}
func (n *Network) Truth() starlark.Bool  { return true }
func (n *Network) Hash() (uint32, error) { return starlark.String(n.iface).Hash() }

type dhcpArgs struct {
	Interface string `star:"interface" default:"\"eth0\"" doc:"name of the interface, as the kernel gives it"`
}

// NewDHCP is the builtin `dhcp`.
var NewDHCP = schema.New("dhcp", `dhcp lets an interface get its address from the network, with busybox' udhcpc.

The interface is brought up, udhcpc asks for a lease, goes on in the background,
and its script puts address, routes and name servers in place. Without such a
script udhcpc configures nothing; rootfs makes it, unless the tree has one.

	root = rootfs([bb], network = dhcp("eth0"))`, callDHCP, schema.Returns("a network"))

func callDHCP(c *schema.Call, a *dhcpArgs) (starlark.Value, error) {
	return &Network{iface: a.Interface, dhcp: true}, checkInterface(c, a.Interface)
}

type staticArgs struct {
	Interface string `star:"interface" doc:"name of the interface, as the kernel gives it"`
	Address   string `star:"address" doc:"address and length of the prefix, as \"10.0.0.2/24\""`
	Gateway   string `star:"gateway,keyword" default:"\"\"" doc:"address of the default route"`
}

// NewStatic is the builtin `static_address`.
var NewStatic = schema.New("static_address", `static_address gives an interface an address that does not change.

	root = rootfs([bb], nameservers = ["10.0.0.1"],
	              network = static_address("eth0", "10.0.0.2/24", gateway = "10.0.0.1"))`, callStatic, schema.Returns("a network"))

func callStatic(c *schema.Call, a *staticArgs) (starlark.Value, error) {
	errs := []error{checkInterface(c, a.Interface)}
	prefix, err := netip.ParsePrefix(a.Address)
	switch {
	case err != nil && !strings.Contains(a.Address, "/"):
		errs = append(errs, c.ArgErrorf("address", "got %q, want an address with the length of its prefix, as \"10.0.0.2/24\"", a.Address))
	case err != nil:
		errs = append(errs, c.ArgErrorf("address", "got %q: %w", a.Address, err))
	case prefix.Addr() == prefix.Masked().Addr() && prefix.Bits() < prefix.Addr().BitLen()-1:
		errs = append(errs, c.ArgErrorf("address", "got %q, which is the address of the network itself", a.Address))
	case prefix.Addr().Is4() && prefix.Bits() < 31 && isBroadcast(prefix):
		errs = append(errs, c.ArgErrorf("address", "got %q, which is the broadcast address of its network", a.Address))
	}
	if a.Gateway != "" {
		gateway, gerr := netip.ParseAddr(a.Gateway)
		switch {
		case gerr != nil:
			errs = append(errs, c.ArgErrorf("gateway", "got %q, want an address", a.Gateway))
		case err == nil && !prefix.Contains(gateway):
			errs = append(errs, c.ArgErrorf("gateway", "got %s, which is not in the network of %s", gateway, prefix))
		}
	}
	return &Network{iface: a.Interface, address: a.Address, gateway: a.Gateway}, errors.Join(errs...)
}

// isBroadcast reports whether an IPv4 address is the last of its network.
func isBroadcast(p netip.Prefix) bool { return !p.Contains(p.Addr().Next()) }

func checkInterface(c *schema.Call, name string) error {
	if name == "" || len(name) > 15 || strings.ContainsAny(name, "/ \t\n:'\"$`\\*?") || name == "lo" {
		return c.ArgErrorf("interface", "got %q, want the name of an interface of at most 15 characters, as \"eth0\"", name)
	}
	return nil
}

// networks reads the argument of rootfs: one network or several.
func networks(c *schema.Call, v starlark.Value) ([]*Network, error) {
	var list []*Network
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return nil, nil
	case *Network:
		return []*Network{v}, nil
	case *starlark.List:
		for i := range v.Len() {
			n, ok := v.Index(i).(*Network)
			if !ok {
				return nil, c.ArgErrorf(fmt.Sprintf("network[%d]", i), "got %s, want a network, as dhcp(\"eth0\")", v.Index(i).Type())
			}
			for _, o := range list {
				if o.iface == n.iface {
					return nil, c.ArgErrorf(fmt.Sprintf("network[%d]", i), "got the interface %q twice", n.iface)
				}
			}
			list = append(list, n)
		}
		return list, nil
	}
	return nil, c.ArgErrorf("network", "got %s, want a network, as dhcp(\"eth0\"), or a list of them", v.Type())
}
