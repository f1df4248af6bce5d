/** What our login may do in the namespace, asked of the API server itself. */
import { ok, problem, warning, type Check } from "../../../check.ts";
import type { Api } from "../api.ts";
import { neededRights, rightText, usefulRights, type Right } from "./rights.ts";

/** Whether our login may do this in the namespace. @throws ApiError */
export async function may(api: Api, right: Right): Promise<boolean> {
  const { verb, group, resource, subresource, name } = right;
  const review = (await api.request({
    method: "POST",
    path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: { namespace: api.namespace, verb, group, resource, subresource, name } },
    },
  })) as { status?: { allowed?: boolean } };
  return review.status?.allowed === true;
}

/** @param user for whom it is said @throws ApiError */
export async function checkRights(
  api: Api,
  { user, instance, claudeSecret }: { user: string; instance: string; claudeSecret: string },
): Promise<Check[]> {
  const missing = async <Wanted extends Right>(rights: Wanted[]): Promise<Wanted[]> => {
    const allowed = await Promise.all(rights.map((right) => may(api, right)));
    return rights.filter((_, index) => allowed[index] === false);
  };
  const needed = await missing(neededRights(instance));
  const useful = await missing(usefulRights(claudeSecret));
  const who = `${user} in the namespace ${api.namespace}`;
  const mend = "grant it: the Role in deploy/base/service-account.yaml has all of them, for the account myzel-engine";
  const losses = useful.map((right) =>
    warning(rightText(right), `${who} may not ${rightText(right)}: without it ${right.loss}`, mend),
  );
  const all = losses.length === 0 ? "all that the engine does" : "what runs need";
  const main =
    needed.length === 0
      ? ok("permissions", `${who} may do ${all}`)
      : problem("permissions", `${who} may not ${needed.map(rightText).join(", ")}`, mend);
  return [main, ...losses];
}
