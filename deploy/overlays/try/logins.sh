#!/bin/bash
# Run once by the Postgres image, on an empty database: the groups that migrations grant to, and a login in each.
# Passwords come from the environment and are on no command line.
set -euo pipefail
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname "$POSTGRES_DB" <<'SQL'
\getenv engine_password ENGINE_PASSWORD
\getenv pod_password POD_PASSWORD
\getenv operator_password OPERATOR_PASSWORD
create role myzel_engine nologin;
create role myzel_pod nologin;
create role myzel_operator nologin;
create role myzel_reader nologin;
create role engine login in role myzel_engine password :'engine_password';
create role pod login in role myzel_pod password :'pod_password';
create role operator login in role myzel_operator password :'operator_password';
SQL
