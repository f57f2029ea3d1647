package history

import "testing"

func TestPreviews(t *testing.T) {
	hex := func(c string) string { return c + "000000000000000000000000000000000000000000000000000000000000000" }
	graph := func(config, other string) *Graph {
		return &Graph{
			Targets: []Target{{Name: "kernel", Node: 2}, {Name: "new", Node: 1}},
			Nodes: []Node{
				{Definition: hex(config), Op: "kernel/config-check", Size: 7},
				{Definition: hex(other), Op: "exec"},
				{Definition: hex(config + other)[:64], Op: "exec", Inputs: []Edge{{"config", 0}, {"source", 1}}},
			},
		}
	}
	old, now := graph("1", "a"), graph("2", "b")
	pairs := Previews(old, now, "kernel")
	if len(pairs) != 1 || pairs[0].Old.Definition != hex("1") || pairs[0].New.Definition != hex("2") {
		t.Errorf("got %v, want the one with a preview", pairs)
	}
	key, ok := pairs[0].New.Key()
	if !ok || key.Hex() != hex("2") || key.Size != 7 {
		t.Errorf("got the key %v, %v", key, ok)
	}
	if pairs := Previews(old, old, "kernel"); len(pairs) != 0 {
		t.Errorf("nothing changed: got %v", pairs)
	}
	if pairs := Previews(old, now, "unknown"); pairs != nil {
		t.Errorf("no such target: got %v", pairs)
	}
	if _, ok := now.Nodes[1].Key(); ok {
		t.Error("a node without a preview: got a key")
	}
}
