/** The API server: is it there, is it new enough, does it take our login. */
import { ok, problem, type Check } from "../../../check.ts";
import { clusterOf, type Api } from "../api.ts";
import { isStatus } from "../api-error.ts";

/** The first with everything that a run's Job asks for (deploy/README.md). */
const OLDEST_MINOR = 29;

export interface Version {
  major: string;
  /** Some providers write `29+`. */
  minor: string;
  gitVersion: string;
}

export interface ServerFindings {
  checks: Check[];
  /** Who the server takes us for; null: nothing further can be asked. */
  user: string | null;
}

/** Never throws for a server that is away or says no: that is what it finds. */
export async function checkServer(
  api: Api,
  where: { kubeconfig?: string | undefined; namespace?: string | undefined },
): Promise<ServerFindings> {
  const { server, how } = await clusterOf(where);
  let version: Version;
  try {
    version = (await api.request({ path: "/version", timeoutMs: 10_000 })) as Version;
  } catch (error) {
    if (isStatus(error, 401)) return { checks: [loginProblem(error, how)], user: null };
    const reason = (error as Error).message;
    const mend = `start the cluster, or set KUBECONFIG (or --kubeconfig) to the one that is meant; found by ${how}`;
    return { checks: [problem("cluster", `${server}: ${reason}`, mend)], user: null };
  }
  const checks = [checkVersion(version, `${server}, found by ${how}`)];
  try {
    return { checks, user: await whoWeAre(api) };
  } catch (error) {
    checks.push(loginProblem(error, how));
    return { checks, user: null };
  }
}

/** Pure. */
export function checkVersion({ major, minor, gitVersion }: Version, where: string): Check {
  const isOld = major === "1" && parseInt(minor, 10) < OLDEST_MINOR;
  const message = `Kubernetes ${gitVersion.replace(/^v/, "")}: ${where}`;
  if (!isOld) return ok("cluster", message);
  return problem("cluster", message, `update the cluster: runs need Kubernetes 1.${OLDEST_MINOR} or newer`);
}

async function whoWeAre(api: Api): Promise<string> {
  const review = (await api.request({
    method: "POST",
    path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
  })) as { status?: { userInfo?: { username?: string } } };
  return review.status?.userInfo?.username ?? "this login";
}

function loginProblem(error: unknown, how: string): Check {
  const sentence = isStatus(error, 401)
    ? "The API server does not take the login."
    : `The API server does not say who we are: ${(error as Error).message}`;
  return problem("cluster login", sentence, `log in anew; the login is that of ${how}`);
}
