# The engine's image: `myzel engine` and the rest of the command line. Build context: the repository's root.
#
#   docker build --tag myzel-engine .
#
# Runs as a user without rights on a read-only root file system (MYZEL_DATA_DIR is a volume), starts no shell, and
# ends on SIGTERM: Node is the first process and handles it.
FROM node:24-slim AS packages
WORKDIR /opt/myzel
COPY package.json package-lock.json ./
COPY worker-image/package.json worker-image/
# Without the optional packages: they bring a Node and an embedded Postgres, which a container has no use for.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
 && rm -rf ~/.npm

FROM node:24-slim
COPY --from=packages /opt/myzel/node_modules/ /opt/myzel/node_modules/
COPY package.json /opt/myzel/
COPY migrations/ /opt/myzel/migrations/
COPY sql/functions/ /opt/myzel/sql/functions/
COPY worker-image/ /opt/myzel/worker-image/
COPY engine/ /opt/myzel/engine/
# For people: kubectl exec deployment/myzel-engine -- myzel tasks
COPY bin/ /opt/myzel/bin/
RUN ln -s /opt/myzel/bin/myzel /usr/local/bin/myzel && install --directory --owner=1000 /opt/myzel/cache
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/opt/myzel/cache \
    MYZEL_DATA_DIR=/data
# Numbers, by which Kubernetes can tell that it is not root.
USER 1000:1000
WORKDIR /
# Compiled code of the daemon: without it the engine holds the compiler of TypeScript in memory, 30 MB.
RUN ["node", "--max-semi-space-size=2", "--eval", "for (const name of ['cli/program', 'cli/engine/engine', 'launch/kubernetes/kubernetes-launcher']) import(`/opt/myzel/engine/${name}.ts`); import('/opt/myzel/node_modules/@kubernetes/client-node/dist/index.js')"]
# The flags of bin/myzel: the engine rests most of the time.
ENTRYPOINT ["node", "--max-semi-space-size=2", "/opt/myzel/engine/main.ts"]
CMD ["engine"]
