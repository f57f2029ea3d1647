package kconfig_test

// As in Linux, shortened: what the tests below read, by file.
var files = map[string]string{
	"Kconfig": `# a tree
mainmenu "Linux/$(ARCH) $(KERNELVERSION) Kernel Configuration"

source "scripts/Kconfig.include"
source "arch/$(SRCARCH)/Kconfig"
source "net/Kconfig"
osource "not/there"
`,
	"scripts/Kconfig.include": `comma       := ,
right_paren := )
if-success = $(shell,{ $(1); } >/dev/null 2>&1 && echo "$(2)" || echo "$(3)")
success = $(if-success,$(1),y,n)
cc-option = $(success,$(CC) -Werror $(1) -c -x c /dev/null)
$(error-if,$(success,command -v $(CC)),C compiler '$(CC)' not found)
cc-version := $(shell,echo $(CC))
cc-version += 1
m64-flag := $(if-success,$(CC) -m64,-m64)
`,
	"arch/x86/Kconfig": `config 64BIT
	bool "64-bit kernel" if "$(ARCH)" = "x86"
	default "$(ARCH)" != "i386"

config MODULES
	bool "modules"
	modules
	help
	  Loadable things.

	  config is a word that help text may have
config EXPERT
	bool "Experts"
config HAVE_STACKS
	def_bool $(cc-option,-fstack)
config HAVE_NOTHING
	bool
	default y if $(success,never asked)
choice
	prompt "Compression"
	default KERNEL_GZIP
config KERNEL_GZIP
	bool "gzip"
config KERNEL_XZ
	bool "xz"
config KERNEL_LZO
	bool "lzo"
	depends on !64BIT
endchoice
config HZ
	int "ticks"
	range 100 1000
	default 250
config START
	hex "where" \
		if EXPERT
	default 0x100
config SUFFIX
	string "suffix"
config DEFAULT_ON
	bool "on unless an expert says otherwise" if EXPERT
	default y
`,
	"net/Kconfig": `menuconfig NET
	bool "Networking"
	select GENERIC_LIB
if NET
rsource "ipv4/Kconfig"
menu "Filters"
	depends on INET
	visible if EXPERT
config FILTER
	tristate "filter"
	depends on CONNTRACK=y || CONNTRACK=m && m
endmenu
config CONNTRACK
	tristate "tracking"
	depends on INET && !OLD_WAY
	imply FILTER
config NAT
	tristate
	depends on CONNTRACK
config MASQUERADE
	tristate "masquerade"
	depends on CONNTRACK
	select NAT
config BRIDGE
	tristate "bridge"
	depends on CONNTRACK
	depends on INET if EXPERT
config ONLY_PPC
	bool "other machines"
	depends on PPC
endif # NET
config GENERIC_LIB
	bool
config OLD_WAY
	bool "old"
comment "text"
	depends on OLD_WAY
`,
	"net/ipv4/Kconfig": `config INET
	bool "TCP/IP"
`,
}
