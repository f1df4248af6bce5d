/** Where what lies inside a pod: volumes and the paths at which the phases find them. */

export const PATHS = {
  /** The directory that all phases share. */
  workspace: "/workspace",
  /** publish's own, which no agent ever had access to. */
  private: "/private",
  /** Of the agent alone, for tools that insist on /tmp. */
  tmp: "/tmp",
  /** A Secret of type ssh-auth, for checkout and publish. */
  gitKey: "/run/myzel/git",
  /** A Secret that is a `~/.claude` with a login. */
  claude: "/run/myzel/claude",
  /** What the pod's annotations say of a stop, kept up to date by the kubelet; nobody in the pod can write it. */
  stop: "/run/myzel/stop",
} as const;

/** Empty until the run is asked to stop. */
export const STOP_FILE = "at";

export const VOLUMES = {
  workspace: "workspace",
  private: "private",
  tmp: "tmp",
  gitKey: "git-key",
  claude: "claude-login",
  stop: "stop-request",
} as const;

/** The worker's entry in the image. */
export const ENTRYPOINT = "/opt/myzel/worker-image/entrypoint.sh";

export const OWN_VOLUMES: readonly string[] = Object.values(VOLUMES);

/** Nothing of the operator's may be mounted over, into or above these. */
export const OWN_PATHS: readonly string[] = [
  ...Object.values(PATHS),
  "/run/myzel",
  "/opt/myzel",
  "/dev",
  "/proc",
  "/sys",
];

/** Nothing may be mounted over or above these; into them it may. */
export const SYSTEM_PATHS: readonly string[] = ["/etc", "/usr", "/bin", "/lib"];
