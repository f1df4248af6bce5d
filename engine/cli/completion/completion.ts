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
complete -o default -F _myzel myzel`,
  zsh: `#compdef myzel
# zsh completion for myzel
_myzel() {
  local -a values descriptions
  local value description
  while IFS=$'\\t' read -r value description; do
    values+=("$value")
    descriptions+=("\${value}\${description:+  -- $description}")
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#values} )); then
    compadd -l -d descriptions -a values
  else
    _files
  fi
}
compdef _myzel myzel`,
  fish: `# fish completion for myzel
function __myzel_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c myzel -a '(__myzel_complete)'`,
};

export function define(command: Command): void {
  command
    .addArgument(new Argument("<shell>", "your shell").choices(Object.keys(SCRIPTS)))
    .addHelpText(
      "after",
      `
Examples:
  myzel completion bash > ~/.local/share/bash-completion/completions/myzel
  source <(myzel completion zsh)
  myzel completion fish > ~/.config/fish/completions/myzel.fish`,
    )
    .action((shell: string) => say(SCRIPTS[shell] ?? ""));
}
