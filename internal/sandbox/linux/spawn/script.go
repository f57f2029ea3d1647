package spawn

// A script is a list of system calls, in memory that holds only words of 64
// bits and strings, so that a child can carry it out without the Go runtime:
//
//	header   Header
//	ops      Header.Ops times Op
//	data     strings, structures, and the words that ops write
//	relocs   Header.Relocs offsets of words to which the script's address is added
//
// All offsets are in bytes from the start of the script.
type Header struct {
	Ops     uint64 // how many
	Files   uint64 // offset of the words that take the numbers of the received descriptors
	Status  uint64 // offset of a Status, the buffer of the report
	Scratch uint64 // offset of 512 bytes for the interpreter
	Reloc   uint64 // offset of the relocations
	Relocs  uint64 // how many
}

// Op is one step. Arguments are values; those whose bit is set in Load are
// offsets of words that hold it. An argument that is an address is an offset
// with a relocation.
type Op struct {
	Number uint32 // of the system call, or one of the Op constants
	Load   uint16
	OnErr  uint16
	Args   [6]uint64
	Store  uint64 // offset of a word that takes the result; 0 if none
}

// Ops that are not system calls.
const (
	// OpFork starts the command's process, which goes on with the next op; the
	// child itself, process 1, goes on at op Args[0]. The pid is stored.
	OpFork = 1<<30 + iota
	// OpWait waits until the process Args[0] has ended, kills and reaps all the
	// others, closes descriptors 0 to 2, reports, and ends.
	OpWait
	// OpNotFound ends the command's process: no execve before it succeeded.
	OpNotFound
)

// What happens when an op fails.
const (
	Fail   = iota // the failure is reported and all ends
	Ignore        // on to the next
	// Exec is for one of several execve in a row: when there is no such file the
	// next one is tried.
	Exec
	// FailOK, after an execve that found no file, is a failure (ENOENT) when the
	// call succeeds: the file is there, so what is missing is its interpreter.
	FailOK
)

// Status is the report, one write to the status descriptor.
type Status struct {
	Kind   int64 // one of the Status constants
	Op     int64 // the op that failed
	Errno  int64
	Wait   int64 // wait status of the command
	User   int64 // CPU time in microseconds, of the command and what it waited for
	System int64
	MaxRSS int64 // KiB
}

// Kinds of Status.
const (
	StatusFailed = iota + 1 // the sandbox could not be made or the command not started
	StatusEnded             // the command has ended
)

// StatusFD is the descriptor in the child that takes the Status.
const StatusFD = 3
