package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// change is what upstream has changed: its commits, their trees under the module
// path of the fork, and the record of the update.
type change struct {
	base, newest  string
	before, after string
	record        record
}

// apply makes one commit of the change. It is cherry-picked: that merges two trees
// with a third as their base and needs no common history.
func (u *update) apply(c change) error {
	before, err := u.withOurs(c.before, c.record.keep, "")
	if err != nil {
		return err
	}
	after, err := u.withOurs(c.after, c.record.keep, c.record.String())
	if err != nil {
		return err
	}
	parent, err := u.git.run("commit-tree", "-m", "Upstream at "+c.base, before)
	if err != nil {
		return err
	}
	message := fmt.Sprintf("Update from upstream to %s\n\nThe changes of %s from\n%s to\n%s.", short(c.newest), c.record.url, c.base, c.newest)
	commit, err := u.git.run("commit-tree", "-p", parent, "-m", message, after)
	if err != nil {
		return err
	}
	if _, err := u.git.run("cherry-pick", commit); err != nil {
		return u.explain(err)
	}
	count, err := u.git.run("rev-list", "--count", c.base+".."+c.newest)
	if err != nil {
		return err
	}
	stat, err := u.git.run("diff", "--shortstat", "HEAD^", "HEAD")
	if err != nil {
		return err
	}
	fmt.Fprintf(u.out, "updated to %s of upstream (commits: %s):%s\n", short(c.newest), count, stat)
	for _, k := range c.record.keep {
		if !u.git.ok("diff", "--quiet", c.before, c.after, "--", k) {
			fmt.Fprintf(u.out, "%s was left as it is (%s). The changes of upstream to it:\n\tgit diff %s %s -- %[1]s\n", k, recordFile, short(c.before), short(c.after))
		}
	}
	fmt.Fprint(u.out, "next: go test ./...\n")
	return nil
}

// explain describes how to go on when git did not make the commit.
func (u *update) explain(err error) error {
	conflicts, _ := u.git.run("diff", "--name-only", "--diff-filter=U")
	if conflicts == "" {
		return err
	}
	return fmt.Errorf(`upstream and this repository have changed the same places of these files:
  %s
Resolve the conflicts and git add the files, then run git cherry-pick --continue. Or run
git cherry-pick --abort: everything is as before. If a file is entirely yours, add a line
"keep FILE" to %s, commit it, and run the update again`, strings.ReplaceAll(conflicts, "\n", "\n  "), recordFile)
}

// withOurs returns the tree with the files and folders that are kept as HEAD has
// them, and so is the record unless its text is given.
func (u *update) withOurs(tree string, keep []string, text string) (_ string, err error) {
	dir, err := os.MkdirTemp("", "webpubsub-update")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	temp := git{dir: u.dir, env: []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}}
	if _, err := temp.run("read-tree", tree); err != nil {
		return "", err
	}
	var entries strings.Builder
	for _, k := range append([]string{recordFile}, keep...) {
		if _, err := temp.run("rm", "--cached", "--force", "-r", "--quiet", "--ignore-unmatch", "--", ":(literal)"+k); err != nil {
			return "", err
		}
		if k == recordFile && text != "" {
			blob, err := temp.pipe(text, "hash-object", "-w", "--stdin")
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&entries, "100644 blob %s\t%s\n", blob, recordFile)
			continue
		}
		ours, err := temp.run("ls-tree", "-r", "HEAD", "--", k)
		if err != nil {
			return "", err
		}
		if ours != "" {
			entries.WriteString(ours + "\n")
		}
	}
	if _, err := temp.pipe(entries.String(), "update-index", "--index-info"); err != nil {
		return "", err
	}
	return temp.run("write-tree")
}
