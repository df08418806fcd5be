// Every style of Mantine, and ours of forms. Whatever shows more than the first page does imports this: the shell of signed-in people,
// forms, lists.
import "@mantine/core/styles.layer.css";
import "./fields.css";
