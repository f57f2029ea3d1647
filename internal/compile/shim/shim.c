/*
 * The shim stands in front of a compiler in labstar's sandbox. It sends its
 * command line to labstar (package internal/compile) and does what it is told:
 * write files that are known already, run the real tool and report, or step
 * aside. Whatever goes wrong before the real tool has run, the real tool runs.
 *
 * It starts in a fraction of a millisecond: no C library, no dynamic linker.
 *
 * All numbers are little-endian. The request:
 *
 *	u32 magic, u32 bytes that follow, u32 argc, u32 umask, tool, working folder,
 *	argv…, environment…; strings end with a zero byte
 *
 * The answers, each a byte and what belongs to it:
 *
 *	P                                step aside: execute the real tool
 *	R u32 argc u32 len u32 flags  argv…   run the tool with these arguments; the shim
 *	                                 replies u32 wait status, u32 len, u32 len,
 *	                                 stderr, and stdout if flags say so
 *	I u32 most                       send standard input: u32 len, bytes; ~0 if there
 *	                                 is more; the tool gets it all the same
 *	G u32 len  path                  send the file: u64 size, bytes; size ~0 if none
 *	W u32 flags u32 len u64 size  path, bytes     write the file; flags: 1 in place of
 *	                                 what is there, 2 it can be run, 4 at its end
 *	F u32 status u32 len u32 len  stderr, stdout   print and end
 *	K                                print what the tool that ran printed, end as it ended
 */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#if defined(__x86_64__)
enum { sys_read = 0, sys_write = 1, sys_close = 3, sys_lseek = 8, sys_mmap = 9, sys_munmap = 11,
	sys_sigaction = 13, sys_getpid = 39, sys_socket = 41, sys_connect = 42, sys_clone = 56, sys_execve = 59,
	sys_wait4 = 61, sys_kill = 62, sys_getcwd = 79, sys_umask = 95, sys_fchmod = 91, sys_prctl = 157,
	sys_exit = 231, sys_openat = 257, sys_unlinkat = 263, sys_readlinkat = 267, sys_dup3 = 292, sys_memfd = 319 };
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall begin\n\thlt\n");
static long sys(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
enum { sys_read = 63, sys_write = 64, sys_close = 57, sys_lseek = 62, sys_mmap = 222, sys_munmap = 215,
	sys_sigaction = 134, sys_getpid = 172, sys_socket = 198, sys_connect = 203, sys_clone = 220, sys_execve = 221,
	sys_wait4 = 260, sys_kill = 129, sys_getcwd = 17, sys_umask = 166, sys_fchmod = 52, sys_prctl = 167,
	sys_exit = 94, sys_openat = 56, sys_unlinkat = 35, sys_readlinkat = 78, sys_dup3 = 24, sys_memfd = 279 };
__asm__(".globl _start\n_start:\n\tmov x0,sp\n\tbl begin\n\tbrk #0\n");
static long sys(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "no shim for this machine"
#endif

enum { at_cwd = -100, o_wronly = 1, o_creat = 0100, o_trunc = 01000, o_append = 02000, o_cloexec = 02000000,
	sigchld = 17, sigkill = 9, eintr = -4 };

void *memcpy(void *to, const void *from, u64 n)
{
	u8 *t = to;
	const u8 *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, u64 n)
{
	u8 *t = to;
	while (n--)
		*t++ = (u8)c;
	return to;
}

static u64 len(const char *s)
{
	u64 n = 0;
	while (s[n])
		n++;
	return n;
}

#define DIR "/dev/labstar-compile/"

static char **env, **args;
static char real[4200] = DIR;
static int server = -1;
static int said[2] = { -1, -1 }; /* memory files with what the first run printed: stderr, stdout */
static int input = -1;           /* one with standard input, once it was read */
static u8 buffer[64 << 10];

static _Noreturn void end(int status)
{
	for (;;)
		sys(sys_exit, status, 0, 0, 0, 0, 0);
}

static void print(const char *s) { sys(sys_write, 2, (long)s, (long)len(s), 0, 0, 0); }

/* aside executes the real tool in this process. */
static _Noreturn void aside(void)
{
	if (input >= 0) {
		sys(sys_lseek, input, 0, 0, 0, 0, 0);
		sys(sys_dup3, input, 0, 0, 0, 0, 0);
	}
	if (server >= 0)
		sys(sys_close, server, 0, 0, 0, 0, 0);
	sys(sys_execve, (long)real, (long)args, (long)env, 0, 0, 0);
	print("labstar: can't execute ");
	print(real);
	print("\n");
	end(127);
}

static int put(int fd, const void *p, u64 n)
{
	const u8 *b = p;
	while (n) {
		long w = sys(sys_write, fd, (long)b, (long)n, 0, 0, 0);
		if (w == eintr)
			continue;
		if (w <= 0)
			return 0;
		b += w, n -= (u64)w;
	}
	return 1;
}

static int get(int fd, void *p, u64 n)
{
	u8 *b = p;
	while (n) {
		long r = sys(sys_read, fd, (long)b, (long)n, 0, 0, 0);
		if (r == eintr)
			continue;
		if (r <= 0)
			return 0;
		b += r, n -= (u64)r;
	}
	return 1;
}

/* move copies n bytes from one descriptor to another; to < 0 drops them. */
static int move(int from, int to, u64 n)
{
	int ok = 1;
	while (n) {
		u64 part = n < sizeof buffer ? n : sizeof buffer;
		if (!get(from, buffer, part))
			return 0;
		if (to >= 0 && ok)
			ok = put(to, buffer, part);
		n -= part;
	}
	return ok;
}

static void *memory(u64 n)
{
	long p = sys(sys_mmap, 0, (long)n, 3, 0x22, -1, 0);
	return p < 0 && p > -4096 ? 0 : (void *)p;
}

/* rewind goes to the start of a file and returns its size. */
static u64 rewind(int fd)
{
	long size = sys(sys_lseek, fd, 0, 2, 0, 0, 0);
	sys(sys_lseek, fd, 0, 0, 0, 0, 0);
	return size < 0 ? 0 : (u64)size;
}

static int memory_file(void) { return (int)sys(sys_memfd, (long)"labstar", 1, 0, 0, 0, 0); }

/* finish ends as the tool that ran ended. */
static _Noreturn void finish(u32 wait)
{
	for (int i = 0; i < 2; i++)
		if (said[i] >= 0)
			move(said[i], 2 - i, rewind(said[i]));
	int sig = wait & 0x7f;
	if (sig) {
		u64 act[4] = { 0, 0, 0, 0 };
		sys(sys_sigaction, sig, (long)act, 0, 8, 0, 0);
		sys(sys_kill, sys(sys_getpid, 0, 0, 0, 0, 0, 0), sig, 0, 0, 0, 0);
		end(128 + sig);
	}
	end((int)(wait >> 8 & 0xff));
}

static int run(char **argv, u32 *wait, int *out, u32 flags)
{
	out[0] = memory_file();
	out[1] = flags & 1 ? memory_file() : -1;
	if (out[0] < 0)
		return 0;
	if (input >= 0)
		rewind(input);
	long pid = sys(sys_clone, sigchld, 0, 0, 0, 0, 0);
	if (pid < 0)
		return 0;
	if (pid == 0) {
		sys(sys_prctl, 1, sigkill, 0, 0, 0, 0);
		sys(sys_dup3, out[0], 2, 0, 0, 0, 0);
		if (out[1] >= 0)
			sys(sys_dup3, out[1], 1, 0, 0, 0, 0);
		if (input >= 0)
			sys(sys_dup3, input, 0, 0, 0, 0, 0);
		sys(sys_execve, (long)real, (long)argv, (long)env, 0, 0, 0);
		end(127);
	}
	long r;
	do
		r = sys(sys_wait4, pid, (long)wait, 0, 0, 0, 0);
	while (r == eintr);
	return r == pid;
}

/* take_input keeps standard input, all of it, for the tool. */
static int take_input(void)
{
	if (input >= 0)
		return 1;
	int fd = memory_file();
	if (fd < 0)
		return 0;
	for (;;) {
		long n = sys(sys_read, 0, (long)buffer, sizeof buffer, 0, 0, 0);
		if (n == eintr)
			continue;
		if (n <= 0)
			break;
		if (!put(fd, buffer, (u64)n))
			end(1); /* no memory for it: the tool could not be told what is gone */
	}
	input = fd;
	return 1;
}

struct file { u32 flags, len; u64 size; } __attribute__((packed));

/* keep writes a file that the server sends. A failure is remembered, and the
   real tool then has its turn. */
static int keep(char *path, struct file *f)
{
	char one[1];
	/* As the assembler and the linker do, a file is replaced and a link is followed. */
	if (f->flags & 1 && sys(sys_readlinkat, at_cwd, (long)path, (long)one, 1, 0, 0) < 0)
		sys(sys_unlinkat, at_cwd, (long)path, 0, 0, 0, 0);
	int fd = (int)sys(sys_openat, at_cwd, (long)path, o_wronly | o_creat | o_cloexec | (f->flags & 4 ? o_append : o_trunc), f->flags & 2 ? 0777 : 0666, 0, 0);
	int ok = move(server, fd, f->size) && fd >= 0;
	if (fd >= 0)
		sys(sys_close, fd, 0, 0, 0, 0, 0);
	return ok;
}

static int send_file(char *path)
{
	u64 none = ~0ul;
	int fd = (int)sys(sys_openat, at_cwd, (long)path, o_cloexec | 04000, 0, 0, 0);
	long size = fd < 0 ? -1 : sys(sys_lseek, fd, 0, 2, 0, 0, 0);
	if (size < 0)
		return put(server, &none, 8);
	sys(sys_lseek, fd, 0, 0, 0, 0, 0);
	int ok = put(server, &size, 8) && move(fd, server, (u64)size);
	sys(sys_close, fd, 0, 0, 0, 0, 0);
	return ok;
}

/* serve does what the server says. It returns if the server is gone. */
static int ran;
static u32 status;

static void serve(void)
{
	static char path[4200];
	int failed = 0;
	u8 op;
	while (get(server, &op, 1)) {
		u32 n[3];
		struct file f;
		switch (op) {
		case 'P':
			return;
		case 'R': {
			if (!get(server, n, 12) || n[0] == 0 || n[1] > 8 << 20)
				return;
			char *text = memory(n[1]), **argv = memory((n[0] + 1ul) * sizeof(char *));
			if (!text || !argv || !get(server, text, n[1]))
				return;
			for (u32 i = 0; i < n[0]; i++, text += len(text) + 1)
				argv[i] = text;
			u32 w;
			int out[2];
			if (!run(argv, &w, out, n[2]))
				return;
			u32 reply[3] = { w, (u32)rewind(out[0]), out[1] >= 0 ? (u32)rewind(out[1]) : 0 };
			if (!ran)
				said[0] = out[0], said[1] = out[1], status = w, ran = 1;
			if (!put(server, reply, 12) || !move(out[0], server, reply[1]) || out[1] >= 0 && !move(out[1], server, reply[2]))
				return;
			break;
		}
		case 'I': {
			if (!get(server, n, 4) || !take_input())
				return;
			u64 size = rewind(input);
			u32 reply = size > n[0] ? ~0u : (u32)size;
			if (!put(server, &reply, 4) || size <= n[0] && !move(input, server, size))
				return;
			rewind(input);
			break;
		}
		case 'G':
			if (!get(server, n, 4) || n[0] >= sizeof path || !get(server, path, n[0]))
				return;
			path[n[0]] = 0;
			if (!send_file(path))
				return;
			break;
		case 'W':
			if (!get(server, &f, sizeof f) || f.len >= sizeof path || !get(server, path, f.len))
				return;
			path[f.len] = 0;
			if (!keep(path, &f))
				failed = 1;
			break;
		case 'F':
			if (!get(server, n, 12) || failed)
				return;
			move(server, 2, n[1]);
			move(server, 1, n[2]);
			end((int)n[0]);
		case 'K':
			if (!ran)
				return;
			finish(status);
		default:
			return;
		}
	}
}

static int ask(int argc)
{
	struct { unsigned short family; char path[108]; } to = { 1, DIR "socket" };
	static char cwd[4200];
	u32 head[4];
	server = (int)sys(sys_socket, 1, 1 | o_cloexec, 0, 0, 0, 0);
	if (server < 0 || sys(sys_connect, server, (long)&to, sizeof to, 0, 0, 0) < 0)
		return 0;
	long dir = sys(sys_getcwd, (long)cwd, sizeof cwd, 0, 0, 0, 0);
	if (dir <= 0)
		return 0;
	char *tool = real + sizeof DIR - 1, *first = args[0], *last = args[argc - 1];
	for (char **e = env; *e; e++)
		last = *e;
	u64 block = (u64)(last + len(last) + 1 - first), name = len(tool) + 1;
	long mask = sys(sys_umask, 0, 0, 0, 0, 0, 0);
	sys(sys_umask, mask, 0, 0, 0, 0, 0);
	head[0] = 0x3153434c; /* "LCS1" */
	head[1] = (u32)(8 + name + (u64)dir + block);
	head[2] = (u32)argc;
	head[3] = (u32)mask;
	u8 *b = buffer;
	memcpy(b, head, sizeof head), b += sizeof head;
	memcpy(b, tool, name), b += name;
	memcpy(b, cwd, (u64)dir), b += dir;
	return put(server, buffer, (u64)(b - buffer)) && put(server, first, block);
}

static int is_shell(const char *name)
{
	return name[0] == 'd' && name[1] == 'a' && name[2] == 's' && name[3] == 'h' && !name[4];
}

/* asks tells whether the server may know what a shell is to do: of the many shells
   of a build it is only asked about these. */
static int asks(int argc)
{
	static const char *const words[] = { "/fixdep ", "set -e; TMP=.tmp_$$/tmp; ", "ar cDPrST ", "ar cDPrsT ", "mkcapflags.sh ", "(wildcard ./tools/objtool/objtool)" };
	if (argc != 3 || args[1][0] != '-' || args[1][1] != 'c' || args[1][2])
		return 0;
	for (const char *c = args[2]; *c; c++)
		for (u64 w = 0; w < sizeof words / sizeof *words; w++) {
			u64 i = 0;
			while (words[w][i] && c[i] == words[w][i])
				i++;
			if (!words[w][i])
				return 1;
		}
	return 0;
}

void begin(long *stack)
{
	int argc = (int)stack[0];
	args = (char **)(stack + 1);
	env = args + argc + 1;
	static char self[4200];
	long n = sys(sys_readlinkat, at_cwd, (long)"/proc/self/exe", (long)self, sizeof self - 1, 0, 0);
	if (n <= 0)
		end(127);
	char *base = self;
	for (char *c = self; *c; c++)
		if (*c == '/')
			base = c + 1;
	memcpy(real + sizeof DIR - 1, base, len(base) + 1);
	if (argc > 0 && (!is_shell(base) || asks(argc)) && ask(argc))
		serve();
	if (ran)
		finish(status);
	aside();
}
