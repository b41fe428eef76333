package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
)

var shells = map[string]string{
	"bash": `# bash completion for webpubsub. To load it in every session, add to ~/.bashrc:
#   source <(webpubsub completion bash)
_webpubsub() {
  local IFS=$'\n'
  COMPREPLY=($(webpubsub __complete "=${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null | cut -f1))
}
complete -o default -F _webpubsub webpubsub
`,
	"zsh": `#compdef webpubsub
# zsh completion for webpubsub. To load it in every session, write it to a file
# named _webpubsub in a directory of $fpath, or add to ~/.zshrc after compinit:
#   source <(webpubsub completion zsh)
_webpubsub() {
  local -a found
  found=("${(@f)$(webpubsub __complete "=${words[CURRENT]}" "${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
  if [[ -z "${found[1]}" ]]; then
    _files
    return
  fi
  found=("${(@)found//:/\\:}")
  found=("${(@)found//$'\t'/:}")
  _describe webpubsub found
}
compdef _webpubsub webpubsub
`,
	"fish": `# fish completion for webpubsub. To load it in every session:
#   webpubsub completion fish > ~/.config/fish/completions/webpubsub.fish
function __webpubsub_complete
  set -l words (commandline -opc)
  webpubsub __complete "="(commandline -ct | string collect) $words[2..-1] 2>/dev/null
end
complete -c webpubsub -f -n 'test -n "$(__webpubsub_complete | string collect)"' -a '(__webpubsub_complete)'
`,
	"powershell": `# PowerShell completion for webpubsub. To load it in every session, add to $PROFILE:
#   webpubsub completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName webpubsub -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
  webpubsub __complete "=$wordToComplete" @words 2>$null | ForEach-Object {
    $value, $text = $_ -split "` + "`" + `t", 2
    if (-not $text) { $text = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $text)
  }
}
`,
}

var shellNames = []string{"bash", "zsh", "fish", "powershell"}

// runCompletion prints a script that calls the hidden command __complete.
func runCompletion(_ context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("completion", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "Usage: webpubsub completion %s\n\nThe script explains how to load it.\n", strings.Join(shellNames, "|"))
	}
	if err := parse(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	script, ok := shells[fs.Arg(0)]
	if !ok || fs.NArg() != 1 {
		return usagef("completion: name a shell: %s", strings.Join(shellNames, ", "))
	}
	_, err := fmt.Fprint(e.out, script)
	return err
}

// complete prints the candidates for one word of a command line: a candidate on each
// line, with its description after a tab. The first argument is "=" and the word
// that is being completed, the others are the words before it, without the name of
// the program. Nothing is printed where a file or free text is expected.
func complete(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 || !strings.HasPrefix(args[0], "=") {
		return usagef("__complete is called by the completion scripts")
	}
	word, before := args[0][1:], args[1:]
	if n := len(before); n > 0 && before[n-1] == "=" {
		before = before[:n-1] // bash splits -type=json into three words
	} else if word == "=" {
		word = ""
	}
	print := func(candidate, description string) {
		if strings.HasPrefix(candidate, word) {
			fmt.Fprintf(e.out, "%s\t%s\n", candidate, description)
		}
	}
	if len(before) == 0 || len(before) == 1 && before[0] == "help" {
		for _, c := range commands {
			print(c.name, c.summary)
		}
		return nil
	}
	if before[0] == "completion" {
		for _, shell := range shellNames {
			print(shell, "")
		}
		return nil
	}
	flags := flagsOf(ctx, e, before[0])
	if flags == nil {
		return nil
	}
	// A flag and its value are two words, or one with an equals sign.
	if name, ok := strings.CutPrefix(before[len(before)-1], "-"); ok && len(before) > 1 {
		if f := flags.Lookup(strings.TrimPrefix(name, "-")); f != nil && !isBool(f) {
			printValues(f, "", print)
			return nil
		}
	}
	dashes := word[:len(word)-len(strings.TrimLeft(word, "-"))]
	if name, _, ok := strings.Cut(word, "="); ok && dashes != "" {
		if f := flags.Lookup(name[len(dashes):]); f != nil {
			printValues(f, name+"=", print)
		}
		return nil
	}
	if len(dashes) == 1 || len(dashes) == 2 {
		flags.VisitAll(func(f *flag.Flag) {
			_, usage := flag.UnquoteUsage(f)
			print(dashes+f.Name, usage)
		})
	}
	return nil
}

func printValues(f *flag.Flag, prefix string, print func(candidate, description string)) {
	if c, ok := f.Value.(*choice); ok {
		for _, v := range c.allowed {
			print(prefix+v, "")
		}
	}
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}
