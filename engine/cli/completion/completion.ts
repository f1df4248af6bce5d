/** `myzel completion`: scripts that ask `myzel __complete` what may come next. */
import { Argument } from "commander";
import type { Command } from "commander";
import { say } from "../terminal/output.ts";

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# bash completion for myzel
_myzel() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -o nosort -F _myzel myzel`,
  // As a file of $fpath it is the function's body first; sourced, it registers itself.
  zsh: `#compdef myzel
# zsh completion for myzel
_myzel() {
  local -a values descriptions lines
  local value description
  local -i width=0 at
  while IFS=$'\\t' read -r value description; do
    values+=("$value")
    descriptions+=("$description")
    if (( \${#value} > width )); then width=\${#value}; fi
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  for (( at = 1; at <= \${#values}; at++ )); do
    lines+=("\${(r:width:)values[at]}\${descriptions[at]:+  -- \${descriptions[at]}}")
  done
  if (( \${#values} )); then
    compadd -V myzel -l -d lines -a values
  else
    _files
  fi
}
if [ "\${funcstack[1]}" = _myzel ]; then
  _myzel "$@"
elif (( \${+functions[compdef]} )); then
  compdef _myzel myzel
else
  echo 'myzel: completion needs "autoload -Uz compinit && compinit" before it' >&2
fi`,
  fish: `# fish completion for myzel
function __myzel_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates ($words[1] __complete $words[2..-1] 2>/dev/null)
  if set -q candidates[1]
    printf '%s\\n' $candidates
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c myzel -f -k -a '(__myzel_complete)'`,
};

export function define(command: Command): void {
  command
    .addArgument(new Argument("<shell>", "your shell").choices(Object.keys(SCRIPTS)))
    .addHelpText(
      "after",
      `
Examples:
  myzel completion bash > ~/.local/share/bash-completion/completions/myzel
  source <(myzel completion zsh)          in ~/.zshrc, after compinit
  myzel completion fish > ~/.config/fish/completions/myzel.fish`,
    )
    .action((shell: string) => say(SCRIPTS[shell] ?? ""));
}
