// Verifies a live log with Go's own library for transparency logs: that an entry is in it, and that it only grew.
// Usage: verify URL VKEY INDEX OLD-CHECKPOINT-FILE, an operator key with audit:read in RESCIND_KEY.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type tiles string // the log's address

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(want []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range want { // C2SP leaves Go's tile height out of the path
		data = append(data, t.get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
	}
	return data, nil
}

func (t tiles) get(path string) []byte {
	request := must(http.NewRequest("GET", string(t)+path, nil))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("RESCIND_KEY"))
	answer := must(http.DefaultClient.Do(request))
	if answer.StatusCode != 200 {
		panic(path + ": " + answer.Status)
	}
	return must(io.ReadAll(answer.Body))
}

func open(signed []byte, vkey string) tlog.Tree {
	opened := must(note.Open(signed, note.VerifierList(must(note.NewVerifier(vkey)))))
	lines := strings.Split(opened.Text, "\n")
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: must(tlog.ParseHash(lines[2]))}
}

func main() {
	log, vkey, index := tiles(os.Args[1]), os.Args[2], must(strconv.ParseInt(os.Args[3], 10, 64))
	tree, old := open(log.get("checkpoint"), vkey), open(must(os.ReadFile(os.Args[4])), vkey)
	reader := tlog.TileHashReader(tree, log)
	bundle := tlog.Tile{H: 8, L: -1, N: index / 256, W: int(min(256, tree.N-index/256*256))}
	entries := log.get(strings.Replace(bundle.Path(), "tile/8/data/", "tile/entries/", 1))
	for skip := index % 256; skip > 0; skip-- {
		entries = entries[2+int(binary.BigEndian.Uint16(entries)):]
	}
	entry := entries[2 : 2+int(binary.BigEndian.Uint16(entries))]
	included := must(tlog.ProveRecord(tree.N, index, reader))
	check(tlog.CheckRecord(included, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
	grown := must(tlog.ProveTree(tree.N, old.N, reader))
	check(tlog.CheckTree(grown, tree.N, tree.Hash, old.N, old.Hash))
	fmt.Printf("entry %d is in the log of %d, which goes on from %d\n", index, tree.N, old.N)
}

func must[T any](value T, err error) T { check(err); return value }

func check(err error) {
	if err != nil {
		panic(err)
	}
}
