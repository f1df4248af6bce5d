/** Which systems Myzel is tested on. */

/** A sentence for the others; null on those. */
export function systemProblem(): string | null {
  const { platform, arch } = process;
  if (platform === "linux" && (arch === "x64" || arch === "arm64")) return null;
  return `Myzel is tested on Linux (x64 and arm64); on ${platform} (${arch}) parts of it may not work.`;
}
