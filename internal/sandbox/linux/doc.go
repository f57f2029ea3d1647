// Package linux is the sandbox.Runner that uses Linux namespaces, with no
// privileges, no helper program and no daemon.
//
// A run goes through four hands:
//
//   - Run makes a plan of the Spec: the folders in Scratch, and a script of the
//     system calls that make the sandbox (mounts, root, limits, execve).
//   - The spawner (package spawn), a copy of this program that was started at the
//     first Run and stays small, forks a child in new user and pid namespaces.
//   - The child, process 1 of its pid namespace, carries out the script, starts
//     the command, waits, kills what the command left behind, and reports.
//   - Run reads the report from a pipe, and the command's output from another.
//
// The root is an overlay of the Spec's trees, lowest of all a skeleton on a
// tmpfs that has the mount points and a minimal /etc. A root that is one tree, as
// most are, is bound as it is, and only the folders in which it lacks something are
// overlaid; else a /usr that one tree alone has is bound over the overlay. Compilers
// look up millions of paths, and so are spared it. The root is read-only, and so are
// the inputs and /proc; /build and /tmp are folders of Scratch. The command is
// user 0 of its own namespace, with no capabilities and no way to gain any, in
// new mount, network (loopback only), IPC, UTS, cgroup and pid namespaces, and a
// seccomp filter closes what namespaces leave open (see filter).
//
// On systems other than Linux the package compiles and New's Runner says that
// commands cannot run there.
package linux
