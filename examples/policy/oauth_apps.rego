# What this organization wants of every plan: `provisioner plan --out plan.json`, then `conftest test plan.json`.
package main

import rego.v1

# Whose pages may receive people's codes.
ours := {"example.com"}

# How many apps one plan may cut off.
limit := 2

cut_off contains change.address if {
	some change in input.resource_changes
	"delete" in change.change.actions
}

host(uri) := split(split(split(uri, "://")[1], "/")[0], ":")[0] if startswith(uri, "https://")

is_ours(name) if {
	some domain in ours
	endswith(concat("", [".", name]), concat("", [".", domain]))
}

deny contains sprintf("%s: %s is not a host of ours", [change.address, name]) if {
	some change in input.resource_changes
	some uri in change.change.after.redirect_uris
	name := host(uri)
	not is_ours(name)
}

deny contains sprintf("%d apps are cut off, and %d may be", [count(cut_off), limit]) if {
	count(cut_off) > limit
}

deny contains sprintf("%s may write, and is not protected", [change.address]) if {
	some change in input.resource_changes
	not change.change.after.protect
	some scope in change.change.after.scopes
	endswith(scope, ":write")
}

warn contains "drift was not looked for" if not input.refreshed
