# Every target calls npm. Variables given to make (ONCE=1 PORT=8081 PATHS="/etc /srv") reach it as environment.
.PHONY: demo test test-restic check dev build package faults bench clean

demo test test-restic check dev build package faults bench: node_modules/.package-lock.json
	@npm run --silent $@

clean:
	@npm run --silent clean

# npm writes this file last, so it stands for a complete installation. Not `npm ci`: it refuses a lock file that was
# written where packages of other platforms could not be seen. `--no-save` keeps the lock file as it is, and
# `make check` finds one that does not match package.json.
node_modules/.package-lock.json: package-lock.json
	npm install --no-save --loglevel=error && touch $@
