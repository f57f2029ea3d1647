package action

// Command is the parameters of an Exec action. Strings may hold tokens; a path
// token declares its artifact and is filled in with its place in the sandbox.
type Command struct {
	// Argv is the command; Argv[0] is looked up in PATH inside the sandbox.
	Argv []string `json:"argv"`
	// Env is the whole environment besides what the sandbox fixes.
	Env map[string]string `json:"env,omitempty"`
	// Dir is the working directory, absolute; "" means BuildDir.
	Dir string `json:"dir,omitempty"`
	// Root names the inputs (trees) that make up the root, lowest first.
	Root []string `json:"root"`
	// Mounts lays inputs at absolute paths, read-only.
	Mounts []Mount `json:"mounts,omitempty"`
	// Work names a tree input that is laid at BuildDir, writable; what is
	// written stays in the scratch. "" means BuildDir starts empty.
	Work string `json:"work,omitempty"`
	// Outputs are paths relative to BuildDir, in the order of Spec.Outputs.
	Outputs []string `json:"outputs"`
	// Secrets are variables of the environment by the names of the secrets that they
	// have the values of. A value is in no key, so what the result depends on has to
	// be an input that comes from the secret (Spec.Secrets) and gives nothing away.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Timeout in seconds; 0 means none.
	Timeout int `json:"timeout,omitempty"`
	// Compile lets single compilations inside come from the compile cache. The
	// outputs are the same with and without, so it is no part of the key.
	Compile bool `json:"compile,omitempty"`
	// Reason is a path relative to BuildDir: a command that fails may leave a text
	// there that says why, which is then the error.
	Reason string `json:"reason,omitempty"`
	// KVM offers /dev/kvm where the machine has it and the user may open it. It is
	// no part of the key: a command that asks for it gives the same result without.
	KVM bool `json:"kvm,omitempty"`
}

// Mount lays the input called Input at Path.
type Mount struct {
	Path  string `json:"path"`
	Input string `json:"input"`
}

// Constant places inside the sandbox.
const (
	// BuildDir is the fresh working directory.
	BuildDir = "/build"
	// InputDir is where inputs named by path tokens are laid, each under its own name.
	InputDir = "/in"
	// SourceDateEpoch is the time of every file and the value of
	// SOURCE_DATE_EPOCH, in seconds: 2020-01-01T00:00:00Z.
	SourceDateEpoch = 1577836800
)
