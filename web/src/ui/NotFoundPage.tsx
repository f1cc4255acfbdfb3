import { Link } from "react-router";
import { Cupcake } from "./Cupcake";
import styles from "./NotFoundPage.module.css";

export function NotFoundPage() {
  return (
    <div className={styles.page}>
      <title>Not found · eCupcakes</title>
      <Cupcake flavour="Vanilla" className={styles.cupcake} />
      <h1>Nothing is baked here</h1>
      <p>There is no page at this address. It may have been eaten.</p>
      <p>
        <Link to="/">Go to the start page</Link>
      </p>
    </div>
  );
}
