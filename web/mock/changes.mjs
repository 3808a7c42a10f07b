// Changes: dry runs, and those that revert unless they are confirmed.

import { publish } from "./stream.mjs";
import { iso } from "./world.mjs";

let nextId = 1;

/** Makes a change or only says what it would do. `apply` makes it and returns what takes it back. */
export function changed({ world, query }, diff, who, apply, what = {}) {
  if (query.get("dry_run") === "true") return { dry: true, headers: {} };
  const revert = apply();
  world.revision += 1;
  const tell = (actor) => publish(world, "change", { at: iso(Date.now()), actor, owner: "control", peers: null, rules: false, administration: false, ...what });
  const within = Number(query.get("confirm_within_s"));
  if (within > 0 && diff.length > 0) {
    const id = `change-${nextId++}`;
    const made = { id, made_at: iso(Date.now()), made_by: who.name, reverts_at: iso(Date.now() + within * 1000), diff };
    const undo = () => {
      clearTimeout(timer);
      world.changes.delete(id);
      revert();
      tell("control");
    };
    const timer = setTimeout(undo, within * 1000);
    const keep = () => {
      clearTimeout(timer);
      world.changes.delete(id);
      tell(who.actor);
    };
    world.changes.set(id, { made, undo, keep });
    tell(who.actor);
    return { dry: false, headers: { "Weir-Change": JSON.stringify({ id, reverts_at: made.reverts_at }) } };
  }
  tell(who.actor);
  return { dry: false, headers: {} };
}
