// Every style of Mantine. Whatever shows more than the first page does imports this: the shell of signed-in people, forms, lists.
import "@mantine/core/styles.layer.css";
