package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Home is the cluster that a script was first applied to. Another one is a mistake more
// often than not, so it has to be named.
type Home struct {
	UID     string `json:"uid"` // of the namespace kube-system; "" if it could not be read
	Server  string `json:"server"`
	Context string `json:"context"`
}

// Homes are those of this user's scripts, by their paths, in a file.
type Homes struct {
	path string
	list map[string]Home
}

// OpenHomes reads the file; there need not be one.
func OpenHomes(path string) (*Homes, error) {
	h := &Homes{path: path, list: map[string]Home{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &h.list)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of clusters %s: %w", path, err)
	}
	return h, nil
}

// WrongClusterError is a cluster that is not the script's home.
type WrongClusterError struct {
	Home Home
	Got  *Cluster
}

func (e *WrongClusterError) Error() string {
	old := fmt.Sprintf(", or --context %s for the old one", e.Home.Context)
	if e.Home.Context == e.Got.Context {
		old = "" // the name leads elsewhere now
	}
	return fmt.Sprintf("%s is another cluster than the one this script was applied to, %s (context %s): say --context %s if you mean it for once, "+
		"--cluster-change if it is the script's cluster from now on%s", e.Got, e.Home.Server, e.Home.Context, e.Got.Context, old)
}

// Check compares the cluster with the script's home.
func (h *Homes) Check(script string, c *Cluster, uid string) error {
	home, ok := h.list[script]
	switch {
	case !ok, home.UID != "" && uid == home.UID, (home.UID == "" || uid == "") && home.Server == c.Server:
		return nil
	}
	return &WrongClusterError{Home: home, Got: c}
}

// Has reports whether the script has a home.
func (h *Homes) Has(script string) bool { _, ok := h.list[script]; return ok }

// Set makes the cluster the script's home.
func (h *Homes) Set(script string, c *Cluster, uid string) error {
	home := Home{UID: uid, Server: c.Server, Context: c.Context}
	if h.list[script] == home {
		return nil
	}
	h.list[script] = home
	b, err := json.MarshalIndent(h.list, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o755); err != nil {
		return fmt.Errorf("recording the cluster: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(h.path), ".clusters-*")
	if err != nil {
		return fmt.Errorf("recording the cluster: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), h.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("recording the cluster: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}
