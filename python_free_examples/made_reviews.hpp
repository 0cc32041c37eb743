#pragma once
#include <braid/dataset.hpp>
#include <braid/random.hpp>
#include <string>
#include <vector>

// Reviews made of phrases: praise or complaint by the stars, articles by the department, and words
// that say nothing.
inline braid::Dataset make_reviews(std::int64_t rows, std::uint64_t seed) {
  using Words = std::vector<std::string>;
  const Words departments{"Bottoms", "Dresses", "Intimate", "Jackets", "Tops", "Trend"};
  const std::vector<Words> articles{
      {"pants", "jeans", "skirt", "shorts"}, {"dress", "gown", "frock"},
      {"robe", "nightgown", "swimsuit"},     {"coat", "blazer", "parka"},
      {"sweater", "blouse", "shirt", "tee"}, {"cape", "jumpsuit", "poncho"}};
  const Words praise{"love it",       "so soft",          "perfect fit",
                     "great quality", "many compliments", "worth every penny"};
  const Words complaint{"runs too small", "itchy fabric",   "returned it",
                        "poor quality",   "not flattering", "fell apart"};
  const Words filler{"i ordered this last week", "in my usual size", "the color is as pictured",
                     "for a wedding", "with a belt"};
  braid::Random random(seed);
  const auto pick = [&](const Words& from) { return from[random.below(from.size())]; };
  Words titles, texts, places;
  std::vector<std::int32_t> ages, feedback, recommended, rating;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::size_t department = random.below(departments.size());
    const auto stars = static_cast<std::int32_t>(random.uniform() < 0.55 ? 5 : 1 + random.below(5));
    std::string text = pick(filler) + ", this " + pick(articles[department]) + ".";
    const std::size_t phrases = 2 + random.below(6);
    for (std::size_t phrase = 0; phrase < phrases; ++phrase) {
      const bool good = random.uniform() < (static_cast<double>(stars) - 0.8) / 4.4;
      text += " " + (random.uniform() < 0.3 ? pick(filler) : pick(good ? praise : complaint)) + "!";
    }
    titles.push_back(random.uniform() < 0.15 ? "" : pick(stars > 3 ? praise : complaint));
    texts.push_back(text);
    places.push_back(departments[department]);
    ages.push_back(static_cast<std::int32_t>(20 + random.below(60)));
    feedback.push_back(static_cast<std::int32_t>(random.below(10)));
    recommended.push_back(stars > 3 || (stars == 3 && random.uniform() < 0.4) ? 1 : 0);
    rating.push_back(stars);
  }
  const auto column = [&](const std::vector<std::int32_t>& values) {
    return braid::Tensor::from(values, {rows});
  };
  return braid::Dataset()
      .with("title", titles)
      .with("text", texts)
      .with("age", column(ages))
      .with("feedback", column(feedback))
      .with("recommended", column(recommended))
      .with("rating", column(rating))
      .with("department", places);
}
