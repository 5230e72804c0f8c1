# Every target calls npm. Variables given to make (ONCE=1 PORT=8081 PATHS="/etc /srv") reach it as environment.
.PHONY: demo test check dev build clean

demo test check dev build: node_modules/.package-lock.json
	@npm run --silent $@

clean:
	@npm run --silent clean

# npm writes this file last, so it stands for a complete installation of this lock file.
node_modules/.package-lock.json: package-lock.json
	npm ci && touch $@
