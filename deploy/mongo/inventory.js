// Inserts the ingredients of ingredients.json into the inventory. Existing ones are not changed.
const ingredients = JSON.parse(require("fs").readFileSync("/seed/ingredients.json", "utf8"));
for (const { _id, ...rest } of ingredients) db.ingredients.updateOne({ _id }, { $setOnInsert: rest }, { upsert: true });
print(`${db.ingredients.countDocuments()} ingredients`);
