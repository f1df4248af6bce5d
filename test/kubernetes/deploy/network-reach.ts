/** What a NetworkPolicy lets out, for addresses outside of the cluster. Pure. */
import { BlockList } from "node:net";

interface IpBlock {
  cidr: string;
  except?: string[];
}

interface EgressRule {
  to?: { ipBlock?: IpBlock }[];
  ports?: { protocol: string; port: number }[];
}

/** Whether one of the rules allows TCP to that address and port. Selectors of pods allow no address. */
export function reaches(rules: readonly EgressRule[], address: string, port: number): boolean {
  return rules.some(({ to, ports }) => {
    const portFits = ports === undefined || ports.some((one) => one.protocol === "TCP" && one.port === port);
    return portFits && (to === undefined || to.some(({ ipBlock }) => ipBlock !== undefined && holds(ipBlock, address)));
  });
}

function holds({ cidr, except = [] }: IpBlock, address: string): boolean {
  return isIn(cidr, address) && !except.some((one) => isIn(one, address));
}

function isIn(cidr: string, address: string): boolean {
  const [network = "", prefix = ""] = cidr.split("/");
  const family = network.includes(":") ? "ipv6" : "ipv4";
  if (family !== (address.includes(":") ? "ipv6" : "ipv4")) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), family);
  return list.check(address, family);
}
